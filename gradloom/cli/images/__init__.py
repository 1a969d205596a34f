"""The commands for images: folders of classes, folders with masks, public sets by name, single files."""
