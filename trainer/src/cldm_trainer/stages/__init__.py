"""One module for each training stage. Every stage is resumed by the command that started it."""
