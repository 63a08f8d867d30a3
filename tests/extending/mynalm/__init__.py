"""A package that adds one of everything to nalm: a file each (a folder for tasks), and a line in entry_points.txt."""
