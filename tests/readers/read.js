// Prints what npm dotenv reads in each file of a folder; see tests/support/readers.rs.
const fs = require('fs')
const path = require('path')
const { parse } = require(path.join(process.argv[3], 'dotenv'))

const folder = process.argv[2]
for (const name of fs.readdirSync(folder).sort()) {
  const values = parse(fs.readFileSync(path.join(folder, name), 'utf8'))
  const fields = ['@' + name, ...Object.entries(values).map(([key, value]) => `${key}=${value}`)]
  fs.writeSync(1, fields.map((field) => field + '\0').join(''))
}
