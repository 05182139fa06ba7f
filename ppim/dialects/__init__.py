"""What users of other projects type (`flags`) and write (`files`), in our spelling."""
from ppim.dialects.files import translate_file
from ppim.dialects.flags import translate
from ppim.names import plain_name, recipe_name

__all__ = ["plain_name", "recipe_name", "translate", "translate_file"]
