"""All that nnx knows about particular array libraries."""
