"""Operations on sums over sequences of vectors."""
