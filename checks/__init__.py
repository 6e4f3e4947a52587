"""What is looked at before a run starts or goes on."""
