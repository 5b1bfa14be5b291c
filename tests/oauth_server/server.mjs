// An OAuth server that this project did not write: oidc-provider, strict where Webex is lenient.
// PKCE is required, and a refresh token is good for one use; a second one revokes the whole grant.
// Beside it, on the same port, are the few calls of Webex that the ladder makes (webex.mjs) and
// what the provider has counted (events.mjs).
//
//   node server.mjs NODE_MODULES REDIRECT_URI
//
// Prints one line of JSON when it listens, and ends with its standard input.
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { countEvents } from './events.mjs'
import { webexCalls } from './webex.mjs'

// This is advice to those who run the provider for others; what goes wrong is printed below.
console.info = console.warn = () => {}

const [nodeModules, redirectUri] = process.argv.slice(2)
const main = createRequire(resolve(nodeModules, 'main.js')).resolve('oidc-provider')
const { Provider } = await import(pathToFileURL(main))

const DAYS = 24 * 60 * 60
const LIFETIMES = {
  AccessToken: 14 * DAYS,
  AuthorizationCode: 60,
  Grant: 90 * DAYS,
  Interaction: 600,
  RefreshToken: 90 * DAYS,
  Session: 600,
}

const client = (scope) => ({
  clientId: 'C' + randomBytes(16).toString('hex'),
  clientSecret: randomBytes(32).toString('hex'),
  scope,
})
const integration = client('spark:applications_token')
const serviceApp = client('spark-admin:datasource_read spark-admin:datasource_write')
const targetOrgId = randomUUID()

const server = createServer()
await once(server.listen(0, '127.0.0.1'), 'listening')
const baseUrl = `http://127.0.0.1:${server.address().port}`

const registered = ({ clientId, clientSecret, scope }, rest) => ({
  client_id: clientId,
  client_secret: clientSecret,
  scope,
  token_endpoint_auth_method: 'client_secret_post',
  ...rest,
})
const provider = new Provider(baseUrl, {
  clients: [
    registered(integration, {
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [redirectUri],
      response_types: ['code'],
    }),
    // Its tokens are minted: nobody signs in to it.
    registered(serviceApp, {
      grant_types: ['refresh_token'],
      redirect_uris: [],
      response_types: [],
    }),
  ],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  // As at Webex, tokens outlive the browser's session.
  expiresWithSession: () => false,
  features: { devInteractions: { enabled: true } },
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  issueRefreshToken: () => true,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: [integration, serviceApp].flatMap(({ scope }) => scope.split(' ')),
  ttl: LIFETIMES,
})
provider.on('server_error', (_ctx, error) => console.error(error))

const events = countEvents(provider, { integration, serviceApp })
const webex = webexCalls(provider, { serviceApp, targetOrgId })
const oauth = provider.callback()
server.on('request', async (request, response) => {
  if (request.url === '/events') {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(events))
  } else if (request.url.startsWith('/v1/')) {
    await webex(request, response)
  } else {
    oauth(request, response)
  }
})

process.stdin.on('end', () => process.exit()).resume()
const told = ({ clientId, clientSecret }) => ({ clientId, clientSecret })
console.log(JSON.stringify({
  baseUrl,
  authorizeUrl: provider.urlFor('authorization'),
  tokenUrl: provider.urlFor('token'),
  integration: told(integration),
  serviceApp: told(serviceApp),
  targetOrgId,
}))
