"""What watches a training, and may end it: one file each."""
