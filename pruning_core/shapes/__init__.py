"""What shapes alone decide: times of networks that nobody trained."""
