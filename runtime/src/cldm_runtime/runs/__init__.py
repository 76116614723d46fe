"""Work cut into parts that are resumed and shared by processes and machines. Knows no image."""
