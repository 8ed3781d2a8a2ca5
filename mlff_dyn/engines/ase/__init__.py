"""Any calculator of ASE, in processes of its own."""
