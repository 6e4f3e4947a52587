"""What shuts model-written programs in: the zygote that forks them, and its walls."""
