"""Tasks on sequences of vectors: operations on sums over slices of all vectors."""
