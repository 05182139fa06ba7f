"""What users of other projects type (`flags`) and write (`files`), in our spelling."""
from ppim.dialects.files import translate_file
from ppim.dialects.flags import translate

__all__ = ["translate", "translate_file"]
