"""What is learnt: operations, ranges, random streams, thresholds."""
