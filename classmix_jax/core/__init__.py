"""Pure array functions: what the paper is about, without a class or a config."""
