"""Problems and benchmarks: where they come from, their formats, their prompts and their rules."""
