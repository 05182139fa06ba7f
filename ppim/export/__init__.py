"""A trained model as a bundle that predicts anywhere: its network, its preprocessing, its classes and a program."""
