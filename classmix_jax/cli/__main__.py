from classmix_jax.cli.start import main

main()
