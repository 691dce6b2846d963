# The hub as an image. Debian 13 has the glibc (2.38 or newer) that the binary of uWebSockets.js for Node 24 needs.
FROM node:24-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json ./
COPY src ./src
COPY sql ./sql
RUN npm run build
# Only what runs: no development packages, and of the native binaries only the one of this platform.
RUN npm run slim

FROM node:24-trixie-slim
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/sql ./sql
COPY --from=build /app/src/demo/tracks ./src/demo/tracks
# The other commands, for docker exec: npx would have to write into what the user node may only read.
RUN chmod +x dist/main.js && ln -s /app/dist/main.js /usr/local/bin/alzy
RUN mkdir /data && chown node:node /data
USER node
ENV NODE_ENV=production ALZY_HOST=0.0.0.0 ALZY_DATA_DIR=/data
VOLUME /data
EXPOSE 9001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "dist/healthcheck.js"]
STOPSIGNAL SIGTERM
CMD ["node", "dist/main.js", "serve"]
