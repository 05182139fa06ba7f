"""What users of other projects type (`flags`) and write (`files`), in our spelling."""
from ppim.dialects.files import translate_file
from ppim.dialects.flags import KNOWN_FLAGS, pairs_of, translate

__all__ = ["KNOWN_FLAGS", "pairs_of", "translate", "translate_file"]
