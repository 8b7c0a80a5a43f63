"""Convolution and pooling on NumPy's arrays, and windows as strided views for whoever has them."""
