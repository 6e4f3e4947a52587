"""What surrounds a run: a model is loaded and sharded, a run's directory opened, a checkpoint kept
and read, and what would go wrong is refused before it starts."""
