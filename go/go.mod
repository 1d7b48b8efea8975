module slowfs

go 1.19
