"""The product, one phase a file: read → decide → write. A phase never imports another phase."""
