"""The task code of this deployment, one package for each pool. Replace it with your own."""
