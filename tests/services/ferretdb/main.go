// FerretDB as one program: MongoDB's protocol over SQLite files.
//
// Arguments: address, address with TLS, certificate, key, folder of the files.
// (`go install` of its own command panics: it wants a version file.)
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: ferretdb ADDRESS TLS_ADDRESS CERTIFICATE KEY FOLDER")
	}
	server, err := ferretdb.New(&ferretdb.Config{
		Listener: ferretdb.ListenerConfig{
			TCP: os.Args[1], TLS: os.Args[2], TLSCertFile: os.Args[3], TLSKeyFile: os.Args[4],
		},
		Handler:   "sqlite",
		SQLiteURL: "file:" + os.Args[5] + "/",
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
