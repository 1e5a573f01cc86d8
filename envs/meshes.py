raise ImportError(
    "envs/meshes.py (TriangleMesh, decimated, package_folder, read) was overwritten by accident at 11:16 UTC by whoever writes the objects, "
    "who had not seen that the name was taken. The content is lost: please write it again. The generators of solids now live in envs/solids.py."
)
