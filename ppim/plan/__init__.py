"""What will a recipe need? Arithmetic, before anybody pays for GPUs; nothing here was measured on one."""
