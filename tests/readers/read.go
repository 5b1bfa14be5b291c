// Prints what godotenv reads in each file of a folder; see tests/support/readers.rs.
package main

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/joho/godotenv"
)

func main() {
	folder := os.Args[1]
	files, err := os.ReadDir(folder)
	if err != nil {
		panic(err)
	}
	var out bytes.Buffer
	for _, file := range files {
		values, err := godotenv.Read(filepath.Join(folder, file.Name()))
		mark := "@"
		if err != nil {
			mark, values = "!", nil
		}
		out.WriteString(mark + file.Name() + "\x00")
		for key, value := range values {
			out.WriteString(key + "=" + value + "\x00")
		}
	}
	if _, err := os.Stdout.Write(out.Bytes()); err != nil {
		panic(err)
	}
}
