# Prints what Ruby's dotenv reads in each file of a folder; see tests/support/readers.rs.
require "dotenv"

folder = ARGV[0]
Dir.children(folder).sort.each do |name|
  begin
    mark, values = "@", Dotenv::Environment.new(File.join(folder, name), false)
  rescue Dotenv::FormatError, SystemCallError
    mark, values = "!", {}
  end
  fields = [mark + name] + values.map { |key, value| "#{key}=#{value}" }
  $stdout.write(fields.map { |field| field + "\0" }.join)
end
