"""Operations on sums over subsets of the inputs."""
