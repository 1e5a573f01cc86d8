"""Language: goals become English sentences, and sentences are read back. Nothing here imports the simulator."""
