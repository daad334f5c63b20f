"""A user's own `module:function`: where it is looked for, which files it is made of, how it is run."""
