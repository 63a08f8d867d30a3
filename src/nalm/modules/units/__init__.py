"""The arithmetic modules, one file each."""
