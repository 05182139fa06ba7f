"""Mistakes that raise nothing and make training wrong: each is looked for by a function of its own, which returns a
`Finding`. What they are shown is gathered in `ppim.engine.checked` and `ppim.engine.first_step`.
"""
