"""How fast is everything, on this machine, beside what it could be and beside others? `ppim bench`."""
