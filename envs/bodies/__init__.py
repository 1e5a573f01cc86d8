"""What robots that stand on the floor are made of: links read from files, and what is seen of them."""
