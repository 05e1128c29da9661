"""One file an experiment: DEFAULT peers, add_options(parser), run(peers, options, results)."""
