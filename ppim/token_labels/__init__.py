"""Labels for every token: maps on disk (`maps`, `store`), the targets of a view's tokens (`targets`, `released`)."""
