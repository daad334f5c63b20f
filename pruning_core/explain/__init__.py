"""Why a network is not faster: where its time goes, layer by layer, and what a change of widths would do."""
