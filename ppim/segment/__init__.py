"""Every pixel a class: UperNet on a vision transformer, its data, its loss and its figures."""
