"""Tasks on rows of numbers: operations on sums over subsets of the inputs."""
