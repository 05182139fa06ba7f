"""What is done with a trained model: a file for each thing."""
