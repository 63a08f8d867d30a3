"""Results for other programs: CSV and TensorBoard."""
