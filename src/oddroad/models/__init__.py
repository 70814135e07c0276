"""Where a detector's file comes from: the package, a folder, an HTTP address, a repository of the Hugging Face Hub."""
