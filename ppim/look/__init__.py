"""What goes on inside a trained model: where its tokens look, what made it say a class, what each token says it sees.

One file per question; numbers are numpy arrays.
"""
