// Express and Socket.IO for Node, bare and with express-session in Redis.
//
//   node express.mjs bare|session|socketBare|socketSession REDIS_URL
//
// The routes and events are those told in benchmarks/subjects; SEEDS has
// the content of a fresh session for each size. As connect-redis asks for,
// `resave` is off, so that an unchanged session is only touched, and
// `saveUninitialized`, too.

import { randomBytes } from "node:crypto"
import { createServer } from "node:http"
import express from "express"
import session from "express-session"
import { RedisStore } from "connect-redis"
import { createClient } from "redis"
import { Server } from "socket.io"

const [variant, redisUrl] = process.argv.slice(2)
const seeds = JSON.parse(process.env.SEEDS)
const first = seeds["80B"].count
const idleSeconds = 1800
let counter = first

function bareRoutes(app) {
  app.get("/read", (request, response) => response.send(String(counter)))
  app.post("/write", (request, response) => response.send(String(++counter)))
  app.post("/seed/:size", (request, response) => {
    counter = first
    response.cookie("connect.sid", randomBytes(48).toString("base64url")).send("")
  })
}

function sessionRoutes(app) {
  app.get("/read", (request, response) => response.send(String(request.session.count ?? 0)))
  app.post("/write", (request, response) => {
    request.session.count = (request.session.count ?? 0) + 1
    response.send(String(request.session.count))
  })
  app.post("/seed/:size", (request, response) => {
    Object.assign(request.session, seeds[request.params.size])
    response.send("")
  })
}

function bareEvents(io) {
  io.on("connection", (socket) => {
    socket.on("read", (answer) => answer(counter))
    socket.on("incr", (answer) => answer(++counter))
  })
}

// As Socket.IO's guide to express-session has it, with the answer after
// the save, so that it tells of what is stored.
function sessionEvents(io) {
  io.on("connection", (socket) => {
    const { request } = socket
    socket.on("read", (answer) => {
      request.session.reload((error) => (error ? socket.disconnect() : answer(request.session.count)))
    })
    socket.on("incr", (answer) => {
      request.session.reload((error) => {
        if (error) return socket.disconnect()
        const count = ++request.session.count
        request.session.save((failed) => (failed ? socket.disconnect() : answer(count)))
      })
    })
  })
}

async function sessions() {
  const client = createClient({ url: redisUrl })
  await client.connect()
  return session({
    store: new RedisStore({ client, prefix: "express:" }),
    resave: false,
    saveUninitialized: false,
    secret: "benchmarks: not a secret, but as long as one should be",
    cookie: { maxAge: idleSeconds * 1000 },
  })
}

const app = express()
app.disable("x-powered-by")
const server = createServer(app)
const withSession = variant.toLowerCase().includes("session")
const middleware = withSession ? await sessions() : null
if (middleware) app.use(middleware)
app.get("/plain", (request, response) => response.send(String(first)))
;(withSession ? sessionRoutes : bareRoutes)(app)
if (variant.startsWith("socket")) {
  const io = new Server(server)
  if (middleware) io.engine.use(middleware)
  ;(withSession ? sessionEvents : bareEvents)(io)
}
server.listen(0, "127.0.0.1", 511, () => console.log(server.address().port))
process.stdin.on("end", () => process.exit(0)).resume()
