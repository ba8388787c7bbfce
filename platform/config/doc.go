// Package config reads the application's configuration from the environment,
// and nothing else: no files, no flags, no defaults that differ by machine.
//
// [Load] checks every variable and reports all that is wrong at once, each with
// what would be right and never with the value that was given. The fields of
// [Config] and their tags are the one list of variables: .env.example and the
// README's table are made of them.
package config
