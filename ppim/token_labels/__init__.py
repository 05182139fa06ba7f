"""Labels for every token: maps on disk (`maps`, `store`) and the targets a view's tokens get (`targets`, `released`)."""
