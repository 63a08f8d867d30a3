"""Results as other tools write and read them: CSV, TensorBoard, and the files of the original."""
